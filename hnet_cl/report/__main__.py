"""`python -m hnet_cl.report outputs/...`"""

from hnet_cl import interruption, streams

if __name__ == "__main__":
    streams.fill_closed()
    with interruption.command("hnet_cl.report") as signals:
        from hnet_cl.report.cli import main

        signals.release()
        main()
