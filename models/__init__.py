"""Models: texts in, calibrated predictions out. Generic: knows labels and arrays, nothing of interactions or agents.

How to read this. A *rung* is one model of a ladder (`small`, `large`). Serving, in the order of the call:

    text -> features.normalise -> features.Features.ids -> session.Session.run -> classifier.interpret -> Prediction
            one spelling          int32 n-gram ids         int8 ONNX graph        temperature, softmax

    registry    loads a directory: reads the manifest (spec), verifies hashes, builds a `Classifier` a rung, warms up
    classifier  `logits` computes and `interpret` reads; two steps, so that a fault can be put between them
    session     the only importer of onnxruntime

Serving needs numpy, msgspec and onnxruntime. Training needs scipy and onnx as well, in the order of the call:

    data.read_csv -> train.train -> table.fit -> calibrate -> quantize -> manifest.json, <rung>.onnx, <rung>.fp32.onnx
                     hold out rows  numpy Adam   temperature  int8 graph
                                                 threshold    refuses a loss

    evaluate    scores a directory on labelled rows
    errors      all that can go wrong, each with what to do about it

The label `oos` (`spec.OUT_OF_SCOPE`) may be among the classes; it is no route: who serves treats it as "unsure".
"""
