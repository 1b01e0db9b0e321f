<?php
/*
 * The API under RoadRunner: this process stays and answers request after request.
 *
 *   composer require spiral/roadrunner-http spiral/roadrunner-cli nyholm/psr7
 *   vendor/bin/rr get-binary
 *   ./rr serve -c .rr.yaml
 *   ws2http-tokio --api http://127.0.0.1:8000/
 */
declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';
require __DIR__ . '/handler.php';

use Nyholm\Psr7\Factory\Psr17Factory;
use Nyholm\Psr7\Response;
use Spiral\RoadRunner\Http\PSR7Worker;
use Spiral\RoadRunner\Worker;

$factory = new Psr17Factory();
$worker = new PSR7Worker(Worker::create(), $factory, $factory, $factory);

while (true) {
    try {
        $request = $worker->waitRequest();
    } catch (Throwable $broken) {
        $worker->respond(new Response(400)); // not HTTP that PSR-7 can express
        continue;
    }
    if ($request === null) {
        break; // RoadRunner asks this worker to end
    }
    try {
        [$status, $type, $body] = handle(
            $request->getMethod(),
            $request->getUri()->getPath(),
            $request->getUri()->getQuery(),
            array_map(fn (array $values) => implode(', ', $values), array_change_key_case($request->getHeaders())),
            (string) $request->getBody(),
        );
        $worker->respond(new Response($status, ['Content-Type' => $type], $body));
    } catch (Throwable $failure) {
        error_log((string) $failure);
        $worker->respond(new Response(500)); // ws2http keeps the client and repeats a DELETE
    }
}
