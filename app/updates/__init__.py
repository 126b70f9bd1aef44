"""What an update is, for every API: no vendor in it.

An API package brings plain values and pure functions: a `Resource` (resource.py) for each kind of record, a `Listing`
(listing.py) for each list, an `ErrorTable` (table.py), and rules over the store (`Rules` of local.py). Everything else
is written here, once:

| file | owns |
|---|---|
| run.py | the steps of one update, in their order |
| change.py, expression.py | what a caller asks for, and the request made of it; a patch of what was read |
| rest.py, judging.py | the port over HTTP: build, send once, judge; what an answer means |
| local.py | the port over the store: credentials, `x-simulate`, and the only way to commit (`LocalCall.commit`) |
| reading.py, reconciliation.py, proof.py | reading a record, after an unknown outcome too; what that proves |
| roots.py, fields.py, connections.py, user_errors.py | the fields of the schema, made from the resources |
| bulk.py, bulk_fields.py | many updates in one field, each of them the single one |
| preview.py, revision.py | a dry run; what tells one state of a record from another |
| recording.py, evidence.py, closing.py | the journal's steps, and the end of what was abandoned |

A vendor's quirk is a function that its `Resource` passes: `refused`, `body`, `pick`, `proves`, `check`, `completed`.
"""
