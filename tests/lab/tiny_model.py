"""Writes a model for llama.cpp, of 2 MB, that says random syllables without end. Usage: tiny_model.py FILE

The same file each time. A request ends it early by a `stop`, or by {"2": 100} as its `logit_bias`, which has it end at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import gguf
import numpy as np
from gguf import TokenType

LAYERS, HEADS, WIDTH, INNER, CONTEXT = 2, 4, 128, 256, 4096
SPECIAL = ["<unk>", "<s>", "</s>"]
UNKNOWN, BEGIN, END = range(3)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
# What a prompt is made of, one token for each character; the tokenizer writes a space as "▁".
CHARACTERS = ["▁", *map(chr, range(0x21, 0x7F))]
# What the model says: "▁ba" is " ba".
SYLLABLES = [f"▁{consonant}{vowel}" for consonant in "bdfghjklmnprstvz" for vowel in "aeiou"]
TOKENS = SPECIAL + BYTES + CHARACTERS + SYLLABLES
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def main(file: str) -> None:
    writer = gguf.GGUFWriter(file, "llama")
    describe(writer)
    add_tokenizer(writer)
    for name, values in weights():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_vocab_size(len(TOKENS))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    types += [TokenType.BYTE] * len(BYTES)
    types += [TokenType.NORMAL] * (len(CHARACTERS) + len(SYLLABLES))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types(types)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(END)
    writer.add_chat_template(TEMPLATE)


def weights() -> Iterator[tuple[str, np.ndarray]]:
    """The names and the values of all tensors.

    The first value of each embedding is the same, and no layer writes to it, so the output's first column is a bias: for syllables.
    """
    generator = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return generator.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    embedding = generator.normal(0, 1, (len(TOKENS), WIDTH)).astype(np.float32)
    embedding[:, 0] = 10
    yield "token_embd.weight", embedding
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH, WIDTH),
            ("attn_v", WIDTH, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_gate", INNER, WIDTH),
            ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ):
            values = matrix(rows, columns)
            if name in ("attn_output", "ffn_down"):
                values[0] = 0
            yield f"blk.{layer}.{name}.weight", values
        yield f"blk.{layer}.attn_norm.weight", ones
        yield f"blk.{layer}.ffn_norm.weight", ones
    yield "output_norm.weight", ones
    output = matrix(len(TOKENS), WIDTH)
    output[:, 0] = -10
    output[-len(SYLLABLES) :, 0] = 0
    yield "output.weight", output


main(sys.argv[1])
