"""
What operators and sensors share: the AWS connection, waiting for an end, checks of arguments.

The classes are bases of our own operators and sensors and are not public. What only one operator needs
belongs beside that operator; calls to AWS belong in ``hooks``, decisions in ``domain``.
"""
