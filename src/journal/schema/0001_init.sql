-- Study file, schema 1. Names are part of the public interface (docs/journal.md); schema numbers only grow.
-- JSON columns hold the objects that docs/journal.md describes; times are seconds since the Unix epoch.

CREATE TABLE study (
  key TEXT PRIMARY KEY,   -- what the study is: device, model_sha256, space, slo, objective, optimizer, seed, ...
  value TEXT NOT NULL     -- text, or JSON text
) WITHOUT ROWID;

CREATE TABLE trials (
  id INTEGER PRIMARY KEY,  -- in order of beginning
  state TEXT NOT NULL CHECK (state IN ('running', 'completed', 'aborted', 'refused', 'failed', 'void', 'lost')),
  config TEXT NOT NULL,    -- JSON: the setting as the optimizer advised it
  asked TEXT NOT NULL,     -- JSON: what was asked of the device
  got TEXT,                -- JSON: what the device then reported
  metrics TEXT,            -- JSON: name -> number, SI
  errors TEXT,             -- JSON: name -> {std_error, samples, shared}, where known
  advice TEXT NOT NULL,    -- JSON: kind, reason, expected_gain
  note TEXT,               -- why it was refused, failed or void
  notes TEXT,              -- JSON array: further remarks
  started REAL NOT NULL,
  finished REAL,
  seed INTEGER NOT NULL
);
