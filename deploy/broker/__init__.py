"""Broker topology rendered from agreements."""
