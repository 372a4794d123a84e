"""What an agent did to tests, harness, configuration and reward code: transcripts and patches."""
