-- The first schema. Both databases read this text as it is; tables.py says what each table is for.
-- Times are Unix seconds. JSON is text, because the audit's hashes are of its bytes.

CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  schema_version INTEGER NOT NULL,
  instance_id TEXT NOT NULL,
  created_at DOUBLE PRECISION NOT NULL,
  restored_at DOUBLE PRECISION
);

CREATE TABLE episodes (
  id TEXT PRIMARY KEY,
  identity TEXT NOT NULL,
  service TEXT NOT NULL,
  alertname TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  labels TEXT NOT NULL,
  annotations TEXT NOT NULL,
  starts_at DOUBLE PRECISION NOT NULL,
  first_seen DOUBLE PRECISION NOT NULL,
  last_seen DOUBLE PRECISION NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('firing', 'resolved', 'expired')),
  resolved_at DOUBLE PRECISION,
  expired_at DOUBLE PRECISION,
  tombstone_until DOUBLE PRECISION,
  acknowledged_at DOUBLE PRECISION,
  acknowledged_by TEXT,
  outcome TEXT CHECK (outcome IN ('true', 'dismissed', 'missed')),
  outcome_reason TEXT,
  outcome_at DOUBLE PRECISION,
  outcome_by TEXT,
  CHECK ((state = 'firing') = (tombstone_until IS NULL))
);
CREATE UNIQUE INDEX episodes_open ON episodes (identity) WHERE state = 'firing';
CREATE INDEX episodes_identity ON episodes (identity, tombstone_until);
CREATE INDEX episodes_history ON episodes (first_seen);

CREATE TABLE actions (
  id TEXT PRIMARY KEY,
  episode_id TEXT NOT NULL REFERENCES episodes (id),
  operation TEXT NOT NULL,
  service TEXT NOT NULL,
  resource TEXT NOT NULL,
  resource_version BIGINT,
  parameters TEXT NOT NULL,
  dry_run BOOLEAN NOT NULL,
  state TEXT NOT NULL CHECK
    (state IN ('held', 'intent', 'running', 'ok', 'failed', 'refused', 'dry_run', 'unknown')),
  reason TEXT,
  lease_owner TEXT,
  lease_until DOUBLE PRECISION,
  process TEXT,
  result TEXT,
  created_at DOUBLE PRECISION NOT NULL,
  updated_at DOUBLE PRECISION NOT NULL,
  started_at DOUBLE PRECISION,
  ended_at DOUBLE PRECISION,
  UNIQUE (episode_id, operation),
  CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
  CHECK (state <> 'running' OR lease_owner IS NOT NULL)
);
CREATE INDEX actions_unfinished ON actions (state, updated_at) WHERE state IN ('held', 'intent', 'running', 'unknown');
CREATE INDEX actions_unverified ON actions (ended_at) WHERE state = 'ok' AND ended_at = updated_at;
CREATE INDEX actions_resource ON actions (service, resource, operation, created_at);

CREATE TABLE resources (
  service TEXT NOT NULL,
  id TEXT NOT NULL,
  capacity_minutes DOUBLE PRECISION,
  version BIGINT NOT NULL,
  active BOOLEAN NOT NULL,
  origin TEXT NOT NULL CHECK (origin IN ('config', 'signal', 'api')),
  held_since DOUBLE PRECISION,
  held_by TEXT,
  created_at DOUBLE PRECISION NOT NULL,
  updated_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (service, id)
);

CREATE TABLE kill_switch (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  enabled BOOLEAN NOT NULL,
  generation BIGINT NOT NULL,
  reason TEXT,
  changed_by TEXT,
  changed_at DOUBLE PRECISION NOT NULL
);

CREATE TABLE limits (
  name TEXT PRIMARY KEY,
  blocked_since DOUBLE PRECISION,
  blocked_until DOUBLE PRECISION
);

CREATE TABLE limit_slots (
  name TEXT NOT NULL REFERENCES limits (name),
  holder TEXT NOT NULL,
  taken_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (name, holder)
);
CREATE INDEX limit_slots_taken ON limit_slots (name, taken_at);

CREATE TABLE chain_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL
);

CREATE TABLE audit (
  seq BIGINT PRIMARY KEY,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  at DOUBLE PRECISION NOT NULL,
  principal TEXT NOT NULL,
  kind TEXT NOT NULL,
  operation TEXT,
  service TEXT,
  resource TEXT,
  episode_id TEXT,
  action_id TEXT,
  result TEXT NOT NULL,
  reason TEXT,
  detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_kind ON audit (kind, at);
CREATE INDEX audit_principal ON audit (principal, at);

CREATE TABLE outbox (
  id TEXT PRIMARY KEY,
  episode_id TEXT REFERENCES episodes (id),
  kind TEXT NOT NULL,
  receiver TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at DOUBLE PRECISION NOT NULL,
  due_at DOUBLE PRECISION NOT NULL,
  attempts INTEGER NOT NULL,
  last_error TEXT,
  lease_owner TEXT,
  lease_until DOUBLE PRECISION,
  sent_at DOUBLE PRECISION,
  CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE sent_at IS NULL;

CREATE TABLE decisions (
  id TEXT PRIMARY KEY,
  at DOUBLE PRECISION NOT NULL,
  episode_id TEXT,
  action_id TEXT,
  service TEXT NOT NULL,
  operation TEXT NOT NULL,
  resource TEXT,
  outcome TEXT NOT NULL,
  reason TEXT,
  checks TEXT NOT NULL
);
CREATE INDEX decisions_at ON decisions (at);

CREATE TABLE insights (
  id TEXT PRIMARY KEY,
  at DOUBLE PRECISION NOT NULL,
  service TEXT NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX insights_at ON insights (at);

INSERT INTO chain_head (id, seq, hash) VALUES (1, 0, '');
INSERT INTO kill_switch (id, enabled, generation, changed_at) VALUES (1, TRUE, 1, 0);
