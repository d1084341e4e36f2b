"""Sentence encoders: pretrained transformers that turn a text into a vector, as int8 ONNX. Training only.

    find        where the weights are: a directory, or the installed package whose hash is pinned
    bert        the architecture of BERT and MiniLM as nodes of a graph
    linear      how its matrices are multiplied: exactly, or as int8 with fixed ranges
    encode      texts to vectors, in batches of like length

Serving needs none of this: `train` writes encoder, head and n-gram table into one graph.
"""
