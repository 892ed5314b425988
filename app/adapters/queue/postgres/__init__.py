"""The work queue in PostgreSQL, for several machines: PgQueuer's jobs and this service's rows.

PgQueuer knows which items wait, in which order and until when, and who has them. What it has no
idea of, groups and the items' payloads, results and usage, is in tables of this service. An item
and its job change in one transaction, and are locked in one order: items before jobs, each by the
job's id. Times are the database's own.
"""
