"""Loopback servers that speak the vendors' wire protocols, as strictly as the vendors do.

In a test: `with EspSandbox.run() as esp: esp.url, esp.inbox(), esp.control("fail", target="token", mode="down")`. As a
process: `python -m tests.sandbox --state-dir DIR`. `esp.control(name, **arguments)` is `POST /_control/<name>` with a JSON
object, `esp.ask(name, **query)` is `GET /_control/<name>`; a wrong argument is a 422 that names it.

=========================  ==================================================================================
every sandbox
=========================  ==================================================================================
POST fail                  target, mode, times?, after?, seconds?, retry_after? (the modes: `faults.py`)
POST clear                 target?
POST revoke_tokens         how many were alive
POST clock                 advance: seconds, for tokens, quotas and idempotency keys
POST settings              any of the settings, which GET settings shows
POST reset                 as new, but for tokens issued and where webhooks go
GET  traffic               per target: calls, in_flight, max_in_flight, statuses (0: no answer)
GET  calls                 ?target: every call with time, path, status, seconds, fault
GET  tokens, health
-------------------------  ----------------------------------------------------------------------------------
the ESP (pages: /inbox)
-------------------------  ----------------------------------------------------------------------------------
POST webhook               url, secret (whsec_…)
POST events                mode auto or manual, seed, delay_seconds, batch_max, repeat_share, late_share, …
POST emit                  message_ids?, types?, url?, bounce?, batch?, repeat?, reverse?, spoil?, raw?
GET  inbox                 ?to: every message taken, with its events
GET  refused, deliveries   refused sends; webhook posts with each attempt
GET  waiting               how many events are still to be posted
-------------------------  ----------------------------------------------------------------------------------
Dynamics (pages: /timeline)
-------------------------  ----------------------------------------------------------------------------------
POST contacts              contacts: put them in, without touching one that is there
GET  writes                ?table: every committed write through the Web API
GET  rows                  ?table: the rows
GET  timeline/{contactid}  every activity regarding a contact, oldest first
=========================  ==================================================================================
"""
