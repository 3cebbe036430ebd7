"""Reading on other machines, by tf.data service."""
