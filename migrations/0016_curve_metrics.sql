-- Curves of sample efficiency may be measured by best-of-N too; the comment did not say so.

comment on column curve_points.metric is 'accuracy (share of held-out pairs in the right order, ties half), rm_loss (their mean -log sigmoid(chosen - rejected)), margin (mean of chosen minus rejected), or best_of_n@N (right answers when the sample with the highest reward among N is taken), at the largest N that every question has samples for.';
