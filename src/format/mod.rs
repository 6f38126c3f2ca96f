//! Pure codecs for RDB, AOF, manifest and listpack payloads: bytes in, records out.
