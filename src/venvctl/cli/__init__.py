"""The command line: one thin file a verb, each giving an `Answer`; `render` alone prints."""
