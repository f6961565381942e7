"""The server, from the command line."""

import argparse
import socket
from collections.abc import Sequence

from deepspeech2 import plugins
from deepspeech2.commands.model_options import add_model_options
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.devices import use_threads
from deepspeech2.errors import ConfigError, run_command
from deepspeech2.inference import Recognizer
from deepspeech2.paths import install
from deepspeech2.settings import ServeSettings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Serve a page and an API to transcribe with.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_model_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--name", nargs="*", default=[], help="more names it is reached by")
    parser.add_argument("--greedy", action="store_true", help="not the checkpoint's decoder")
    parser.add_argument("--threads", type=int, help="of the processor; all that there are")
    parser.add_argument("--workers", type=int, default=1, help="recordings at the same time")
    parser.add_argument("--queue", type=int, default=8, help="requests that may wait")
    parser.add_argument("--streams", type=int, default=4, help="microphones at the same time")
    parser.add_argument("--max-upload-mb", type=float, default=50.0, help="of a request")
    parser.add_argument("--max-seconds", type=float, default=1800.0, help="of a recording")
    parser.add_argument("--idle-seconds", type=float, default=30.0, help="of a silent microphone")
    parser.add_argument("--connections", type=int, default=256, help="clients at the same time")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; returns the exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _serve(options))


def _serve(options: argparse.Namespace) -> None:
    try:
        import uvicorn

        from deepspeech2.extras.serving import ACCEPTED, Server, create_app
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: {install('serve')}") from error
    plugins.load(options.plugin)
    use_threads(options.threads)
    settings = ServeSettings(
        workers=options.workers,
        queue=options.queue,
        streams=options.streams,
        max_upload_mb=options.max_upload_mb,
        max_seconds=options.max_seconds,
        idle_seconds=options.idle_seconds,
        connections=options.connections,
        hosts=(*ServeSettings().hosts, options.host, *options.name),
    )
    with listening(options.host, options.port) as listener:
        recognizer = Recognizer.from_checkpoint(
            options.checkpoint,
            device=options.device,
            decoder=GreedyDecoder if options.greedy else None,
        )
        app = create_app(recognizer, settings, model=options.checkpoint.stem)
        config = uvicorn.Config(
            app,
            log_level="warning",
            ws_max_size=1 << 20,
            backlog=ACCEPTED,
            timeout_graceful_shutdown=15,
        )
        host, port = listener.getsockname()[:2]
        print(f"http://{host}:{port}", flush=True)
        Server(config, app.state.stop, settings).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        ConfigError: the address is taken, not this machine's, or not for this user.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({error}): name another --host or --port, or 0"
            " for any port that is free"
        ) from error
    return listening
