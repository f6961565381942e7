"""The desk at which transcripts are corrected, from the command line."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Sequence

from deepspeech2 import plugins
from deepspeech2.commands.model_options import add_model_options
from deepspeech2.commands.serve import listening
from deepspeech2.devices import use_threads
from deepspeech2.errors import ConfigError, run_command
from deepspeech2.escaping import one_line
from deepspeech2.extras.labelling.desk import Desk
from deepspeech2.extras.labelling.export import export
from deepspeech2.extras.labelling.journal import Journal
from deepspeech2.extras.labelling.ordering import order
from deepspeech2.extras.labelling.recordings import open_corpus, transcribe
from deepspeech2.inference import Recognizer
from deepspeech2.paths import install, typed
from deepspeech2.progress import AudioBar
from deepspeech2.settings import ServeSettings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Correct transcripts of recordings on a page, keyboard first.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("path", type=typed, metavar="FOLDER", help="of recordings, or a manifest")
    add_model_options(parser)
    parser.add_argument("--threads", type=int, help="of the processor; all that there are")
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=0.9,
        metavar="X",
        help="share of right words that the model expects, from which on an utterance is sure",
    )
    parser.add_argument(
        "--max-difference",
        type=float,
        default=0.05,
        metavar="X",
        help="character error rate between greedy and beam search, and a given text, up to which"
        " it is",
    )
    parser.add_argument(
        "--order",
        default="doubt",
        metavar="NAME",
        help="what comes first: doubt, difference, confidence, duration, name, or a file with a"
        " path and a score in each line",
    )
    parser.add_argument("--who", help="signs the changes; the name of the user")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8001, help="0: any that is free")
    parser.add_argument("--name", nargs="*", default=[], help="more names it is reached by")
    parser.add_argument(
        "--export", action="store_true", help="write the manifests of the labels, and end"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the desk until a signal comes; returns the exit status."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _label(options))


def _label(options: argparse.Namespace) -> int:
    for option in ("min_confidence", "max_difference"):
        if not 0 <= (value := getattr(options, option)) <= 1:
            name = option.replace("_", "-")
            raise ConfigError(f"--{name} must be from 0 to 1, but is {value:g}")
    if options.export:
        folder = options.path.parent if options.path.is_file() else options.path
        for name, count in export(folder).items():
            print(one_line(f"{folder / name}: {count} utterances"))
        return 0
    try:
        import uvicorn

        from deepspeech2.extras.labelling.app import create_app
        from deepspeech2.extras.serving import ACCEPTED, Server
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: {install('serve')}") from error
    plugins.load(options.plugin)
    use_threads(options.threads)
    settings = ServeSettings(
        max_upload_mb=1.0,
        wait_seconds=60.0,
        hosts=(*ServeSettings().hosts, options.host, *options.name),
    )
    with listening(options.host, options.port) as socket:
        recognizer = Recognizer.from_checkpoint(options.checkpoint, device=options.device)
        desk = _desk(options, recognizer)
        app = create_app(desk, recognizer, settings, options.who or getpass.getuser())
        config = uvicorn.Config(
            app, log_level="warning", backlog=ACCEPTED, timeout_graceful_shutdown=5
        )
        host, port = socket.getsockname()[:2]
        print(f"http://{host}:{port}", flush=True)
        Server(config, lambda: None, settings).run(sockets=[socket])
    return 0


def _desk(options: argparse.Namespace, recognizer: Recognizer) -> Desk:
    folder, corpus = open_corpus(options.path)
    journal = Journal(folder)
    journal.add()  # a folder that cannot be written is found before hours of work
    for each in corpus.exclusions:
        print(one_line(f"left out: {each.name}: {each.reason}"))
    with AudioBar(corpus.duration, "transcribing") as bar:
        items = transcribe(folder, corpus.utterances, recognizer, bar.advance)
    desk = Desk(order(items, options.order), journal, recognizer.text_encoder)
    n_sure = desk.accept_sure(options.min_confidence, options.max_difference)
    print(one_line(f"{folder}: {len(items)} utterances, of {n_sure} of which the model is sure"))
    if journal.read().n_damaged:
        print(
            f"{journal.read().n_damaged} lines of {journal.path.name} were left by killed writers"
        )
    return desk
