"""Bytes to request, answer to bytes.

How to read this package: `app` is the server (connections, dispatch, CORS, errors); `body` and `codec` turn bytes
into structs and back; `patience` reads every header that states a deadline; `errors` are the problems a client can
cause; then one file per resource: `interactions`, `decisions`, `health`, `admin`, `openapi`.

The boundary is `decode -> pipeline.decide -> encode`, so that another transport can serve the same path.
"""
