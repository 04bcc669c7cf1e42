-- One database role a house, each with what its processes do and no more. For PostgreSQL: run in the node's database by the
-- tables' owner with CREATEROLE, after `qianshou init`, with psql; then give each role its password (\password qianshou_registry).
-- Upgrades make tables and are the owner's too; run this file again after them (what exists already is said and passed over).
--
-- What these walls hold and what they do not:
-- * A record is its entry, its place in `records`, its keys, its links and its row in the index of its kind, in one commit. So
--   every process that saves records, own (registry, pairing) or received (exchange), writes the ledger's tables and every kind's index.
--   The walls between these are the exchange's own tables and the first answers to requests.
-- * The reporting house saves no record and cannot write the ledger. It reads entries whole, sealed identity numbers among them.
--   These open only with keys/seal.key; as every process opens the whole keys folder, the wall holds against a stolen database
--   password, not against a stolen machine.
-- * The registry may empty what entries say, for a person can be erased; whoever does so without a chained end is found by `verify`.
-- * Every process asks who calls and may make and revoke tokens, so all of them write `tokens`. Rows are not told apart: a follower
--   may move any cursor.

CREATE ROLE qianshou_registry LOGIN;
CREATE ROLE qianshou_pairing LOGIN;
CREATE ROLE qianshou_exchange LOGIN;
CREATE ROLE qianshou_reporting LOGIN;

-- Everybody: where the ledger stands, what is in it, who calls.
GRANT SELECT ON head, entries, records, cursors, migrations, heads, verified TO qianshou_registry, qianshou_pairing, qianshou_exchange, qianshou_reporting;
GRANT SELECT, INSERT, UPDATE ON tokens, probes TO qianshou_registry, qianshou_pairing, qianshou_exchange, qianshou_reporting;
-- Everybody: acts that wait for a second administrator; the oldest go when one comes.
GRANT SELECT, INSERT, UPDATE, DELETE ON pending_acts TO qianshou_registry, qianshou_pairing, qianshou_exchange, qianshou_reporting;

-- Everybody: the audit is only added to; its head row is the lock. The registry purges what need not be kept any more.
GRANT SELECT, INSERT ON audit TO qianshou_registry, qianshou_pairing, qianshou_exchange, qianshou_reporting;
GRANT SELECT, INSERT, UPDATE ON audit_head TO qianshou_registry, qianshou_pairing, qianshou_exchange, qianshou_reporting;
GRANT DELETE ON audit TO qianshou_registry;

-- Who saves records: the head row is the lock, entries are only added.
GRANT UPDATE ON head TO qianshou_registry, qianshou_pairing, qianshou_exchange;
GRANT INSERT ON entries TO qianshou_registry, qianshou_pairing, qianshou_exchange;
GRANT INSERT, UPDATE ON records TO qianshou_registry, qianshou_pairing, qianshou_exchange;
GRANT SELECT, INSERT, UPDATE, DELETE ON claims TO qianshou_registry, qianshou_pairing, qianshou_exchange;
GRANT SELECT, INSERT, DELETE ON links, shared, words TO qianshou_registry, qianshou_pairing, qianshou_exchange;
GRANT SELECT ON indexed TO qianshou_registry, qianshou_pairing, qianshou_exchange;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    registry_divisions, registry_changes, registry_agencies, registry_stations, registry_workers, registry_certificates,
    registry_posts, registry_employments, registry_systems, registry_incubations, registry_templates,
    registry_assessments, registry_recognitions, registry_documents, registry_tags, registry_moves,
    registry_merges, registry_tasks, registry_campaigns, registry_figures, registry_categories, registry_quotas,
    pairing_commitments, pairing_approvals, pairing_outcomes, pairing_dispatches, pairing_arrivals, pairing_projects,
    pairing_allocations, pairing_payments, pairing_receipts, pairing_programmes, pairing_activities, pairing_offers,
    pairing_needs, pairing_orders, pairing_acceptances
    TO qianshou_registry, qianshou_pairing, qianshou_exchange;

-- The registry and pairing: first answers to request ids, forgotten after [ledger] request_keep_days.
GRANT SELECT, INSERT, DELETE ON requests TO qianshou_registry, qianshou_pairing;

-- The registry: proposals, which are no records; how far it has looked at erasures.
GRANT SELECT, INSERT, UPDATE ON registry_proposals TO qianshou_registry;
GRANT INSERT, UPDATE ON cursors TO qianshou_registry;

-- salting is the owner's alone: a chain is salted at an upgrade.

-- Erasing a person: the registry takes what was said out of entries, and cannot change what the chain covers of their places. The exchange
-- hears of it and clears its pages; reporting joins what is left of one person.
GRANT UPDATE (payload, sealed, salt, trace, content, ended, ended_on) ON entries TO qianshou_registry;
GRANT UPDATE (digest) ON requests TO qianshou_registry;
GRANT SELECT, INSERT ON erasures TO qianshou_registry;
GRANT SELECT, INSERT, UPDATE, DELETE ON joined TO qianshou_registry;
GRANT SELECT ON erasures, joined TO qianshou_exchange, qianshou_reporting;

-- The exchange also verifies what is stored, for the whole node, and signs the ledger's head.
GRANT INSERT, UPDATE ON verified TO qianshou_exchange;
GRANT INSERT, UPDATE, DELETE ON heads TO qianshou_exchange;
GRANT SELECT, INSERT, UPDATE ON exchange_heads TO qianshou_exchange;

-- The exchange: pages and receipts are only added, a page's receipt comes later, and what was erased goes.
GRANT SELECT, INSERT, UPDATE, DELETE ON exchange_peers, exchange_held TO qianshou_exchange;
GRANT SELECT, INSERT, UPDATE ON exchange_former_cards TO qianshou_exchange;
GRANT SELECT, INSERT ON exchange_void_halves TO qianshou_exchange;
GRANT SELECT, INSERT, UPDATE ON exchange_agreements, exchange_outbound, exchange_inbound, exchange_pages TO qianshou_exchange;
GRANT SELECT, INSERT ON exchange_received, exchange_quarantine, exchange_recovery TO qianshou_exchange;

-- Reporting: its tallies, and the cursor that travels with them; the exchange has one of its own.
GRANT INSERT, UPDATE ON cursors TO qianshou_reporting, qianshou_exchange;
GRANT SELECT, INSERT, UPDATE ON reporting_catalogue TO qianshou_reporting;
GRANT SELECT, INSERT, DELETE ON reporting_members, reporting_problems, reporting_same TO qianshou_reporting;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    reporting_roots, reporting_subjects, reporting_months, reporting_days, reporting_divisions, reporting_changes,
    reporting_tags
    TO qianshou_reporting;
