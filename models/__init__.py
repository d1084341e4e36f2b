"""Models: texts in, calibrated predictions out. Generic: knows labels and arrays, nothing of agents.

How to read this. A *rung* is one model of a ladder (`small`, `large`): one ONNX graph. Serving, in calling order:

    text, values -> inputs.feeders_for -> session.Session.run -> classifier.interpret -> Prediction
                    n-gram ids, pieces,   one graph, int8        temperature, softmax,
                    columns, or the text                         familiarity

    spec        what a directory of models holds: manifest.json
    inputs      what a graph is fed, told by the names of its inputs
                (features: n-grams; pieces: word pieces; columns: values beside the text)
    classifier  `scores` computes and `interpret` reads; two steps, so that a fault can be put between them
    registry    loads a version: reads the manifest, verifies hashes, builds a `Classifier` a rung, warms up
    store       a directory of versions, the active one, and the way back; canary: a new version against the active one
    session     the only importer of onnxruntime; pieces of tokenizers

Serving needs numpy, msgspec, onnxruntime and tokenizers. Training needs scipy, onnx and safetensors as well:

    data.read_csv -> train.train -> small.train_small -> large.train_large -> candidate.finish -> report/, manifest
                     task, split    table: n-grams       encoder/ + head,     calibrate, check,
                     held-out rows                       fused with small     write, compare

    quantize, encoder/linear   int8 whose answers do not depend on the texts that share a call
    mix         what values beside the text add to a rung
    findings/, report/         what a person would fix next, as one HTML file
    adopt       a graph that was made elsewhere becomes a rung
    evaluate    scores a version on labelled rows
    errors      all that can go wrong, each with what to do about it

The label `oos` (`spec.OUT_OF_SCOPE`) may be among the classes; it is no route: who serves treats it as "unsure".
"""
