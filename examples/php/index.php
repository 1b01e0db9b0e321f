<?php
/*
 * The API under nginx and PHP-FPM: every request comes here (see nginx.conf). From this directory:
 *
 *   php-fpm8.2 -p "$PWD" -y php-fpm.conf -F -O & nginx -p "$PWD" -c nginx.conf -e stderr -g 'daemon off;'; kill $!
 *   ws2http-tokio --api http://127.0.0.1:8000/
 */
declare(strict_types=1);

require __DIR__ . '/handler.php';

[$path, $query] = explode('?', $_SERVER['REQUEST_URI'], 2) + [1 => ''];
[$status, $type, $body] = handle(
    $_SERVER['REQUEST_METHOD'],
    $path,
    $query,
    array_change_key_case(getallheaders()),
    file_get_contents('php://input'),
);

http_response_code($status);
header("Content-Type: $type");
header('Content-Length: ' . strlen($body)); // spares nginx the chunked encoding
echo $body;
