"""The safetensors format and the number formats inside it: headers, storage types, codecs, writing."""
