-- Version 8: controls, which leave as many tokens as another cell.

ALTER TABLE cell ADD COLUMN match_digest TEXT;          -- of the cell whose number of tokens it makes; NULL: none

ALTER TABLE cost ADD COLUMN tokens_match INTEGER;       -- a control's: tokens of that cell on the same question, markers counted; NULL for all others
