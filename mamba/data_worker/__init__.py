"""MDW, the Mamba Data Worker: frames through a graph of actors to HDF5, the screen and the running scan."""
