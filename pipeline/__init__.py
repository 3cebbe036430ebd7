"""From audio files to batches of samples."""

import os

# Must be set before TensorFlow is imported: the bytes fetched by any read from gs://, by default
# 64 MiB. A scan of headers would download most files whole, and so would a read of half a MiB from
# their middle. `tf.io.gfile` reads in blocks of this size in any case.
os.environ.setdefault("GCS_READAHEAD_BUFFER_SIZE_BYTES", str(2**19))
