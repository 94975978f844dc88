"""Instructions that turn a word of codes into pairs of bfloat16, for devices; `tiles.py` has the same in plain form.

Each takes a word twice (Triton packs two equal elements) and gives two or four pairs.
`tests/support/backends/ptx.py` computes what they do over all codes.
"""

from __future__ import annotations

# Pair p is the word shifted left by 3 p under one mask; the last pair is put together of three pieces.
NVFP4_PAIRS = """
{
.reg .b32 a, b, c;
and.b32 $0, $4, 0x81C081C0;
shl.b32 a, $4, 3;
and.b32 $1, a, 0x81C081C0;
shl.b32 a, $4, 6;
and.b32 $2, a, 0x81C081C0;
shl.b32 a, $4, 1;
shr.u32 b, $4, 5;
shr.u32 c, $4, 4;
and.b32 a, a, 0x80008000;
lop3.b32 a, b, 0x01000100, a, 0xEA;
lop3.b32 $3, c, 0x00C000C0, a, 0xEA;
}
"""
NVFP4_CONSTRAINTS = "=r,=r,=r,=r,r,r"

# E4M3's exponent and mantissa, moved to those of a bfloat16, are the value times 2^-120, subnormals included.
FP8_PAIRS = """
{
.reg .b32 a, b;
shl.b32 b, $2, 8;
shr.u32 a, b, 4;
and.b32 a, a, 0x07F007F0;
lop3.b32 $0, b, 0x80008000, a, 0xEA;
shr.u32 a, $2, 4;
and.b32 a, a, 0x07F007F0;
lop3.b32 $1, $2, 0x80008000, a, 0xEA;
}
"""
FP8_CONSTRAINTS = "=r,=r,r,r"
