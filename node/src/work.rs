//! Running tasks: handlers, commands and webhooks under one contract.
