<?php
/*
 * Stands in for RoadRunner and its PHP packages where they cannot be installed: the check puts this file
 * where worker.php looks for vendor/autoload.php. The PSR-7 classes are the real ones (Debian's
 * php-nyholm-psr7); the two classes below read HTTP from a socket instead of from RoadRunner's pipes.
 */
declare(strict_types=1);

namespace Spiral\RoadRunner {
    require 'Nyholm/Psr7/autoload.php';

    final class Worker
    {
        public static function create(): self
        {
            return new self();
        }
    }
}

namespace Spiral\RoadRunner\Http {
    use Nyholm\Psr7\Factory\Psr17Factory;
    use Nyholm\Psr7\ServerRequest;
    use Psr\Http\Message\ResponseInterface;
    use RuntimeException;
    use Spiral\RoadRunner\Worker;

    final class PSR7Worker
    {
        /** @var array<int, resource> the listener, then the kept-alive connections */
        private array $sockets;
        /** @var resource where the answer goes */
        private $asking;

        public function __construct(Worker $worker, Psr17Factory $requests, Psr17Factory $streams, Psr17Factory $uploads)
        {
            $listener = stream_socket_server('tcp://127.0.0.1:' . getenv('PORT'), $code, $error);
            $this->sockets = [$listener ?: throw new RuntimeException($error)];
        }

        public function waitRequest(): ServerRequest
        {
            while (true) {
                $ready = $this->sockets;
                stream_select($ready, $none, $none, null);
                foreach ($ready as $at => $socket) {
                    if ($at === 0) {
                        $this->sockets[] = stream_socket_accept($socket);
                    } elseif ($line = fgets($socket)) {
                        $this->asking = $socket;
                        return $this->read($socket, $line);
                    } else {
                        unset($this->sockets[$at]);
                    }
                }
            }
        }

        public function respond(ResponseInterface $response): void
        {
            $head = "HTTP/1.1 {$response->getStatusCode()} {$response->getReasonPhrase()}\r\n";
            foreach ($response->getHeaders() as $name => $values) {
                $head .= "$name: " . implode(', ', $values) . "\r\n";
            }
            $body = (string) $response->getBody();
            fwrite($this->asking, $head . 'Content-Length: ' . strlen($body) . "\r\n\r\n" . $body);
        }

        private function read($socket, string $line): ServerRequest
        {
            [$method, $target] = explode(' ', $line);
            $headers = [];
            while (($line = trim(fgets($socket))) !== '') {
                [$name, $value] = explode(':', $line, 2);
                $headers[ucwords(strtolower($name), '-')][] = trim($value); // as RoadRunner spells them
            }
            $length = (int) ($headers['Content-Length'][0] ?? 0);
            return new ServerRequest($method, "http://api$target", $headers, $length ? stream_get_contents($socket, $length) : '');
        }
    }
}
