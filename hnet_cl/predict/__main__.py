"""`python -m hnet_cl.predict run=FOLDER input=PATH`."""

from hnet_cl.core.programs import start

if __name__ == "__main__":
    start("hnet_cl.predict")
