"""The process part of `karat audit reward`: can the steps' scores be trusted, and which hacks raise them. Light."""
