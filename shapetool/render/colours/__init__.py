"""Where the colour of a surface stands in each format: one file a format, and the textures."""
