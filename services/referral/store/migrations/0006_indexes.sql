-- Each index is one that a query of the store walks, in the order that the query asks for.
-- squawk-ignore require-concurrent-index-deletion -- the migrations of a version are one transaction
DROP INDEX referral_conversation;
-- squawk-ignore require-concurrent-index-deletion -- likewise
DROP INDEX paper_folder;
-- squawk-ignore require-concurrent-index-deletion -- likewise
DROP INDEX paper_about;
-- squawk-ignore require-concurrent-index-creation -- likewise
CREATE INDEX paper_place ON paper (about, folder, place);
-- squawk-ignore require-concurrent-index-deletion -- likewise
DROP INDEX referral_offered;
-- squawk-ignore require-concurrent-index-creation -- likewise
CREATE INDEX referral_newest ON referral (offered_at, id);
-- squawk-ignore require-concurrent-index-deletion -- likewise
DROP INDEX referral_status;
-- squawk-ignore require-concurrent-index-creation -- likewise
CREATE INDEX referral_newest_of_status ON referral (status, offered_at, id);
