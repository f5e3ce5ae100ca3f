//! A server that webhooks are posted to: it counts every run that it sees.
