"""Which WAV files there are, and what their headers say.

catalogue: `Catalogue`, what the rest of the program sees, and `build_catalogue`, from folders.
catalogue_file: `open_catalogue`, the same from a file that is made once (--catalogue).
scan: reads the headers of files, many at a time.
table: `FileTable`, the columns of all files, and their version on disk.
column_file: the format of that file; string_array: a column of strings, such as paths.
"""
