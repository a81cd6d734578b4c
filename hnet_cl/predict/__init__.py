"""Classification with the learner of a finished run: `python -m hnet_cl.predict`."""
