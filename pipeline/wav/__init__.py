"""The WAV format: headers, and payloads as integers."""
