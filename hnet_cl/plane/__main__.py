"""`python -m hnet_cl.plane run=FOLDER output=FOLDER`."""

from hnet_cl.core.programs import start

if __name__ == "__main__":
    start("hnet_cl.plane")
