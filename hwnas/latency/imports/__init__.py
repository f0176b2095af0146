"""Measurements that other people made."""
