"""Photos into folders by what a table says of them, and back again."""
