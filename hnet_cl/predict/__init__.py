"""What a finished run has learned, put to use: `python -m hnet_cl.predict`."""
