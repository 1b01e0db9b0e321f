<?php
/*
 * One WebSocket event in, one HTTP answer out. This is the whole application.
 *
 * index.php calls it under nginx and PHP-FPM, worker.php calls it under RoadRunner.
 * It needs no extension and no library.
 */
declare(strict_types=1);

/**
 * Answers one request of ws2http.
 *
 * $headers has lower-case names. The result is [status, content type, body].
 */
function handle(string $method, string $path, string $query, array $headers, string $body): array
{
    // The ClientId is the last part of the path, percent-encoded: /b%C3%B6b is "böb".
    $id = rawurldecode(substr($path, (int) strrpos($path, '/') + 1));
    // Names this one connection; a client that comes back has the same ClientId and a new connection id.
    $connection = $headers['x-connection-id'] ?? '';

    switch ($method) {
        case 'GET': // a client wants to connect: the body "ok" lets it in
            [$status, $answer] = connect($id, $query);
            if ($answer === 'ok') {
                online(fn (array $all) => [$id => $connection] + $all);
            }
            return [$status, 'text/plain; charset=utf-8', $answer];

        case 'POST': // a client sent a message: a body that is not empty goes back to it
            if (($headers['content-type'] ?? '') === 'application/octet-stream') {
                return [200, 'application/octet-stream', $body]; // binary messages are echoed
            }
            return [200, 'text/plain; charset=utf-8', reply($id, $body)];

        case 'DELETE': // a client has gone: the body is the reason. May come twice.
            $code = $headers['x-close-code'] ?? '?';
            error_log("$id left: $code " . json_encode($body, JSON_INVALID_UTF8_SUBSTITUTE));
            // A late DELETE of an older connection must not take the newer one off the list.
            online(fn (array $all) => array_filter(
                $all,
                fn ($its, $whose) => (string) $whose !== $id || $its !== $connection,
                ARRAY_FILTER_USE_BOTH,
            ));
            return [200, 'text/plain; charset=utf-8', 'ok'];
    }
    return [405, 'text/plain; charset=utf-8', 'only GET, POST and DELETE'];
}

/** Decides who may connect. Cookies and the Authorization header are there for real life. */
function connect(string $id, string $query): array
{
    parse_str($query, $wanted);
    $ticket = getenv('API_TICKET') ?: ''; // set it to let in only /<ClientId>?ticket=<API_TICKET>
    if ($ticket !== '' && ($wanted['ticket'] ?? '') !== $ticket) {
        return [401, 'no valid ticket'];
    }
    if (str_starts_with($id, 'banned')) {
        return [200, 'you are banned']; // any text but "ok" refuses: the client sees 403 and the text
    }
    return [200, 'ok'];
}

/** What the application answers to a text message. */
function reply(string $id, string $text): string
{
    if ($text === 'hello') {
        return "hello $id";
    }
    if ($text === 'who') {
        $ids = array_map('strval', array_keys(online()));
        sort($ids, SORT_STRING);
        return implode(', ', $ids);
    }
    if ($text === 'quiet') {
        return ''; // nothing is sent to the client
    }
    if (preg_match('/^@([^ ]+) (.*)$/s', $text, $part)) {
        return match ($status = push($part[1], "$id: $part[2]")) {
            200, 202 => 'sent',
            404 => "$part[1] is not connected",
            default => "$part[1] could not be reached ($status)",
        };
    }
    return "you said: $text";
}

/** Sends a message to any client, at any time, also from a cron job. Returns the HTTP status, 0 for no answer. */
function push(string $to, string $text): int
{
    $headers = ['Content-Type: text/plain; charset=utf-8'];
    if ($token = getenv('WS2HTTP_CONTROL_TOKEN')) { // the same as the gateway's --control-token
        $headers[] = "Authorization: Bearer $token";
    }
    $gateway = getenv('WS2HTTP_GATEWAY') ?: 'http://127.0.0.1:7001';
    $answer = @fopen("$gateway/" . rawurlencode($to), 'r', false, stream_context_create(['http' => [
        'method' => 'POST', 'header' => $headers, 'content' => $text,
        'protocol_version' => 1.1, 'timeout' => 5, 'ignore_errors' => true, // a 404 is an answer too
    ]]));
    return $answer ? (int) explode(' ', stream_get_meta_data($answer)['wrapper_data'][0])[1] : 0;
}

/** Who is online, as [ClientId => connection id], changed under a lock. A real application has a database. */
function online(?callable $change = null): array
{
    $file = fopen(sys_get_temp_dir() . '/ws2http-online.json', 'c+');
    flock($file, LOCK_EX);
    $all = json_decode(stream_get_contents($file) ?: '{}', true);
    if ($change) {
        $all = $change($all);
        $json = json_encode((object) $all, JSON_THROW_ON_ERROR);
        ftruncate($file, 0);
        rewind($file);
        fwrite($file, $json);
    }
    fclose($file); // also unlocks
    return $all;
}
