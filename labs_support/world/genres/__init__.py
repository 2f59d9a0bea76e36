"""Genres of the pre-training stream: functions that take a Writer, return a text."""
