"""Answers that are compressed: whole, or in pieces that can each be read when it comes."""

import zlib


class Plain:
    def piece(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(wbits=31)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush(zlib.Z_FINISH)


class Zstd:
    def __init__(self) -> None:
        import zstandard

        self._compressor = zstandard.ZstdCompressor().compressobj()
        self._flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(self._flush_block)

    def end(self) -> bytes:
        return self._compressor.flush()


BY_NAME = {"gzip": Gzip, "zstd": Zstd}
