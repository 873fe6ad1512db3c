"""Django groups no digits in Chinese; in a table of token counts that makes people count them."""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
