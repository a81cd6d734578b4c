"""`python -m hnet_cl.predict run=FOLDER input=PATH`."""

from hnet_cl import interruption, streams

if __name__ == "__main__":
    streams.fill_closed()
    with interruption.command("hnet_cl.predict") as signals:
        from hnet_cl.predict.cli import main

        signals.release()
        main()
