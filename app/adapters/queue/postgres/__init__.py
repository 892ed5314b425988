"""The work queue in PostgreSQL, for several machines: PgQueuer's jobs and this service's rows.

PgQueuer tracks which items wait, in which order and until when, and which worker holds them. Groups
and the items' payloads, results and usage are in tables of this service. An item and its job change
in one transaction and are locked in one order: items before jobs, each by job id. All times come
from the database's clock.
"""
