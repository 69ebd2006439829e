//! Logs, spans and metrics. A log line and its counter come from one function here, so they cannot disagree.
