"""Bytes in from the terminals, the cloud's signed word out."""
