"""The messages of a webhook in the form that one kind of receiver expects.

Each module makes its requests from the stored message, without sending anything, so that every try sends the
same bytes.
"""
