-- Which trace (https://www.w3.org/TR/trace-context/) a webhook belongs to; empty where tracing is off.
CREATE TABLE traces (
    receipt_id  TEXT COLLATE "C" PRIMARY KEY,
    traceparent TEXT NOT NULL
);
