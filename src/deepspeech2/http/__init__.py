"""Files from the network: resumed where they broke off, and never taken for whole."""
