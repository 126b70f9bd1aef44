"""What an update is, for every API: no vendor in it.

An API package provides plain values and pure functions: a `Resource` (resource.py) for each kind of record, a `Listing`
(listing.py) for each list, an `ErrorTable` (table.py), and rules over the store (`Rules` of local.py). Everything else
is written here, once:

| file | owns |
|---|---|
| run.py | the steps of one update, in their order |
| change.py, expression.py | a caller's change and the request made from it; a patch of the record that was read |
| placing.py | where in the arguments an error belongs |
| rest.py, judging.py | the port over HTTP: build, send once, judge; the meaning of an answer |
| local.py | the port over the store: credentials, `x-simulate`, and the only way to commit (`LocalCall.commit`) |
| reading.py, proof.py | reading a record, also after an unknown outcome or a crash; what that proves |
| roots.py, fields.py, connections.py, user_errors.py | the fields of the schema, made from the resources |
| bulk.py, bulk_fields.py | many updates in one field, each of them the single one |
| preview.py, revision.py | a dry run; the revision that tells one state of a record from another |
| recording.py | the journal's steps |

A vendor's quirk is a function that its `Resource` passes: `refused`, `body`, `pick`, `proves`, `check`, `completed`.
"""
